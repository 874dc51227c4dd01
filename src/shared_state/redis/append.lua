-- Lets events wait beside their units. KEYS: meta, due, units, answered. ARGV: the token, the most units, the
-- most bytes of one, of all, milliseconds to keep, then of each event: unit, time, when it is due, bytes.
-- One digit for each: 0 in time, 1 late, 2 no room.
local meta, due, units, answered = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local before = redis.call('HMGET', answered, 'told', 'became')
if before[1] == ARGV[1] then
  -- Told again, since the answer was lost.
  return before[2]
end
local most_units, most_bytes, most_of_all = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local settled = tonumber(redis.call('HGET', meta, 'settled') or '0')
local count = redis.call('HLEN', units)
-- What was thrown away with its key takes no room any more.
local bytes = count > 0 and tonumber(redis.call('HGET', meta, 'bytes') or '0') or 0
local became = {}
for at = 6, #ARGV, 4 do
  local unit, event = ARGV[at], ARGV[at + 3]
  local known = redis.call('HGET', units, unit)
  local is_full = (not known and count >= most_units) or bytes + #event > most_of_all
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
    bytes = bytes + #event
    if not known then
      bytes = bytes + 9
      count = count + 1
    end
    became[#became + 1] = '0'
  end
end
redis.call('HSET', meta, 'bytes', bytes)
local answer = table.concat(became)
redis.call('HSET', answered, 'told', ARGV[1], 'became', answer)
redis.call('PEXPIRE', answered, 3600000)
for _, key in ipairs({ meta, due, units }) do
  redis.call('PEXPIRE', key, ARGV[5])
end
return answer
