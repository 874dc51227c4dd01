-- When something was met before, and in which release. KEYS: one. ARGV: now, this release, milliseconds to
-- keep. Two words, empty where it was never met.
local known = redis.call('HMGET', KEYS[1], 'at', 'release', 'before', 'before_release')
if known[1] == ARGV[1] and known[2] == ARGV[2] then
  -- Asked again, since the answer was lost.
  return { known[3], known[4] }
end
local at, release = known[1] or '', known[2] or ''
if at == '' or tonumber(at) < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'at', ARGV[1], 'release', ARGV[2], 'before', at, 'before_release', release)
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return { string.sub(at, 1, 32), string.sub(release, 1, 1024) }
