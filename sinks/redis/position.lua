-- Moves positions of partitions, and notes what is written of each tag; each all or nothing.
-- On one server a call has many partitions, in a cluster one. Runs on Redis 6.2 and later, and on Valkey.
-- KEYS: the partitions' records (hashes).
-- ARGV: 1 TTL of the records; then for each record the position expected (a text; '' where there is none), the new one,
--   what to note of tags, the tags, tags to forget. Lists are texts with a line feed between.
-- Returns for each record 1; or 0 where the position is not the expected one: writes were lost, or another process is at
--   work.
local POSITION = 'position'
local SLICE = 2000 -- values a call: Lua's stack ends at 8000

local function items_of(text)
  local items = {}
  for item in string.gmatch(text, '[^\n]+') do items[#items + 1] = item end
  return items
end

local function move(key, expected, new, notes, tags, forgotten)
  local position = redis.call('HGET', key, POSITION) or ''
  if position ~= expected and position ~= new then return 0 end -- new: it was moved, but the answer was lost
  local noted = items_of(notes)
  local fields = {}
  for n, tag in ipairs(items_of(tags)) do
    fields[#fields + 1], fields[#fields + 2] = '{' .. tag .. '}', noted[n]
  end
  for from = 1, #fields, SLICE do
    redis.call('HSET', key, unpack(fields, from, math.min(from + SLICE - 1, #fields)))
  end
  for _, tag in ipairs(items_of(forgotten)) do redis.call('HDEL', key, '{' .. tag .. '}') end
  if new == '' then
    redis.call('HDEL', key, POSITION)
  else
    redis.call('HSET', key, POSITION, new)
  end
  redis.call('EXPIRE', key, ARGV[1])
  return 1
end

local moved = {}
for n, key in ipairs(KEYS) do moved[n] = move(key, unpack(ARGV, 5 * n - 3, 5 * n + 1)) end
return moved
