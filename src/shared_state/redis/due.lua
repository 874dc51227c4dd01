-- Units of which something is due, for who looks after the shard. KEYS: meta, due, units, lease. ARGV:
-- who asks, milliseconds of the lease, up to where all is settled, now, the most units, milliseconds to keep,
-- the most bytes of one. Nothing, where somebody else looks after it; else: settled, open, then of each: unit,
-- version and bytes.
local meta, due, units, lease = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local holder = redis.call('GET', lease)
if holder and holder ~= ARGV[1] then
  return {}
end
redis.call('SET', lease, ARGV[1], 'PX', ARGV[2])
local settled = redis.call('HGET', meta, 'settled') or '0'
-- A clock that is ahead would have everybody's events be late.
local clock = redis.call('TIME')
local lateness = tonumber(ARGV[4]) - tonumber(ARGV[3])
local latest = tonumber(clock[1]) * 1000000 + tonumber(clock[2]) - lateness
local asked = math.min(tonumber(ARGV[3]), latest)
if asked > tonumber(settled) then
  settled = string.format('%.0f', asked)
  redis.call('HSET', meta, 'settled', settled)
  redis.call('PEXPIRE', meta, ARGV[6])
end
local answer = { settled, redis.call('HGET', meta, 'open') or '0' }
for _, unit in ipairs(redis.call('ZRANGE', due, '-inf', ARGV[4], 'BYSCORE', 'LIMIT', 0, ARGV[5])) do
  local known = redis.call('HGET', units, unit)
  if known then
    answer[#answer + 1] = unit
    -- No more than its version of what nobody of ours put there: it is given up.
    answer[#answer + 1] = #known <= tonumber(ARGV[7]) and known or string.sub(known, 1, 8)
  else
    redis.call('ZREM', due, unit)
  end
end
return answer
