-- Whether ids are met for the first time. KEYS: one of each id. ARGV: milliseconds to keep, then of each: the
-- token of who asks. A digit for each, 1 where it was that one who met it first.
local are_first = {}
for at, key in ipairs(KEYS) do
  local token = ARGV[at + 1]
  -- Something else may be kept under the name: then nobody knows.
  local is_new = redis.call('SET', key, token, 'NX', 'PX', ARGV[1])
  local is_first = is_new or redis.call('TYPE', key).ok ~= 'string' or redis.call('GET', key) == token
  are_first[at] = is_first and '1' or '0'
end
return table.concat(are_first)
