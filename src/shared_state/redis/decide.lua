-- The generic cell rate algorithm. KEYS: one. ARGV: now, the period's share of one, how many at once;
-- microseconds. What is left, or what there is to wait below nothing.
local now, of_one, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local used_up = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local rest = now + of_one * most - (used_up + of_one)
if rest < 0 then
  return rest
end
local kept = math.ceil((used_up + of_one - now) / 1000)
redis.call('SET', KEYS[1], string.format('%.0f', used_up + of_one), 'PX', kept)
return math.floor(rest / of_one)
