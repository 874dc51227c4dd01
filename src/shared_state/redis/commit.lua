-- Puts units in the place of those that were found. KEYS: meta, due, units, answered. ARGV: the token,
-- milliseconds to keep, then of each: unit, version, bytes (none: it is done with), when it is due, how many
-- more are open. A digit for each, 1 where it was still as it was found; then how many are open.
local meta, due, units, answered = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local before = redis.call('HMGET', answered, 'token', 'answer')
if before[1] == ARGV[1] then
  -- Asked again, since the answer was lost.
  return before[2]
end
local done, open, bytes = {}, 0, 0
for at = 3, #ARGV, 5 do
  local unit, left = ARGV[at], ARGV[at + 2]
  local known = redis.call('HGET', units, unit)
  if known and string.sub(known, 1, 8) == ARGV[at + 1] then
    bytes = bytes - #known
    if left == '' then
      redis.call('HDEL', units, unit)
      redis.call('ZREM', due, unit)
    else
      local version = struct.pack('>I8', redis.call('HINCRBY', meta, 'changes', 1))
      redis.call('HSET', units, unit, version .. left)
      redis.call('ZADD', due, ARGV[at + 3], unit)
      bytes = bytes + 8 + #left
    end
    open = open + tonumber(ARGV[at + 4])
    done[#done + 1] = '1'
  else
    done[#done + 1] = '0'
  end
end
redis.call('HINCRBY', meta, 'bytes', bytes)
local answer = table.concat(done) .. ' ' .. redis.call('HINCRBY', meta, 'open', open)
redis.call('HSET', answered, 'token', ARGV[1], 'answer', answer)
redis.call('PEXPIRE', answered, 3600000)
for _, key in ipairs({ meta, due, units }) do
  redis.call('PEXPIRE', key, ARGV[2])
end
return answer
