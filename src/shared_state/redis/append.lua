-- Lets events wait beside their units. KEYS: meta, due, units. ARGV: the most units, the most bytes of
-- one, milliseconds to keep, then of each event: unit, time, when it is due, bytes.
-- One digit for each: 0 in time, 1 late, 2 no room.
local meta, due, units = KEYS[1], KEYS[2], KEYS[3]
local most_units, most_bytes, keep = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local settled = tonumber(redis.call('HGET', meta, 'settled') or '0')
local became = {}
for at = 4, #ARGV, 4 do
  local unit, event = ARGV[at], ARGV[at + 3]
  local known = redis.call('HGET', units, unit)
  local is_full = not known and redis.call('HLEN', units) >= most_units
  if tonumber(ARGV[at + 1]) < settled then
    became[#became + 1] = '1'
  elseif is_full or (known and #known - 8 + #event > most_bytes) then
    became[#became + 1] = '2'
  else
    -- Eight bytes of version, what is left of the unit (nothing: a zero), the events.
    local version = struct.pack('>I8', redis.call('HINCRBY', meta, 'changes', 1))
    local held = known and string.sub(known, 9) or '\0'
    redis.call('HSET', units, unit, version .. held .. event)
    redis.call('ZADD', due, 'LT', ARGV[at + 2], unit)
    became[#became + 1] = '0'
  end
end
redis.call('PEXPIRE', meta, keep)
redis.call('PEXPIRE', due, keep)
redis.call('PEXPIRE', units, keep)
return table.concat(became)
