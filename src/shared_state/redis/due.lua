-- Units of which something is due, for who looks after the shard. KEYS: meta, due, units, lease. ARGV:
-- who asks, milliseconds of the lease, up to where all is settled, now, the most units, milliseconds to keep,
-- the most bytes of one. Nothing, where somebody else looks after it; else: settled, open, how many were given
-- up, then of each: unit, version and bytes.
local meta, due, units, lease = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local holder = redis.call('GET', lease)
if holder and holder ~= ARGV[1] then
  return {}
end
redis.call('SET', lease, ARGV[1], 'PX', ARGV[2])
local settled = redis.call('HGET', meta, 'settled') or '0'
-- A clock that is ahead would have everybody's events be late, and ask for ever for what is not due.
local clock = redis.call('TIME')
local now, lateness = tonumber(ARGV[4]), tonumber(ARGV[4]) - tonumber(ARGV[3])
now = math.min(now, tonumber(clock[1]) * 1000000 + tonumber(clock[2]))
if now - lateness > tonumber(settled) then
  settled = string.format('%.0f', now - lateness)
  redis.call('HSET', meta, 'settled', settled)
  redis.call('PEXPIRE', meta, ARGV[6])
end
local answer, garbled = { settled, '', '' }, 0
now = string.format('%.0f', now)
for _, unit in ipairs(redis.call('ZRANGE', due, '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[5])) do
  local known = redis.call('HGET', units, unit)
  if known and #unit == 16 and #known > 8 and #known <= tonumber(ARGV[7]) then
    answer[#answer + 1] = unit
    answer[#answer + 1] = known
  else
    -- Nobody of ours put it there.
    garbled = garbled + redis.call('HDEL', units, unit)
    redis.call('ZREM', due, unit)
  end
end
if redis.call('HLEN', units) == 0 then
  redis.call('HSET', meta, 'open', 0)
end
answer[2], answer[3] = redis.call('HGET', meta, 'open') or '0', tostring(garbled)
return answer
