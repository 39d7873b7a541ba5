-- Writes what one batch of a topic's partition changes of one hash tag, and how far that tag is written; all or nothing.
-- Runs on Redis 6.2 and later, and on Valkey.
-- KEYS: what is written of the tag (a hash), then the data keys.
-- ARGV: 1 kind, 2 topic/partition, 3 the topic's id, 4 the offset up to which we know the tag to be written, 5 the next
--   offset ('' where another write of the batch and the tag follows), 6 whether it begins before offset 4 ('1': someone moved the group back, to have it written again),
--   7 TTL of the hash, 8 PUBLISH or SPUBLISH, 9 TTL of the data, 10 how many are kept, 11 how many are passed over; then
--   trades: times, members, values; the same of runs
--   candles: open times, revisions, values
--   newest: times, values, fields that tell values of one time apart
--   latest: fields ('' where the key is a string), times, revisions, values
-- Lists are texts with a line feed between; no item has one in it. Numbers are below 2^53.
-- Returns 1; or false where the tag is written less far than we know: Redis lost writes.
local kind, partition, topic_id = ARGV[1], ARGV[2], ARGV[3]
local ttl, kept, skipped = ARGV[9], tonumber(ARGV[10]), ARGV[11]

local written = -1
local offset, id = string.match(redis.call('HGET', KEYS[1], partition) or '', '^(%d+)@?(.*)$')
if offset and (id == '' or topic_id == '' or id == topic_id) then written = tonumber(offset) end
if written < tonumber(ARGV[4]) then return false end
local next_offset = tonumber(ARGV[5])
if next_offset and written >= next_offset and ARGV[6] ~= '1' then return 1 end -- it is written, or another process is ahead

local SLICE = 1000 -- values a call: Lua's stack ends at 8000

local function split(text)
  local items, from = {}, 1
  if text == '' then return items end
  while true do
    local to = string.find(text, '\n', from, true)
    items[#items + 1] = string.sub(text, from, (to or 0) - 1)
    if not to then return items end
    from = to + 1
  end
end

local function tell(values)
  if #values == 0 then return end
  redis.call(ARGV[8], KEYS[2], '{"skipped":' .. skipped .. ',"records":[' .. table.concat(values, ',') .. ']}')
end

local write = {}

-- A live trade enters where its id is absent, and is not older than all of a full set. A run's trade only replaces.
function write.trades()
  local key, data, told = KEYS[2], KEYS[3], {}
  local oldest = redis.call('ZCARD', key) >= kept and tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]) or -1
  local function put(first, takes)
    local times, members, values = split(ARGV[first]), split(ARGV[first + 1]), split(ARGV[first + 2])
    for from = 1, #members, SLICE do
      local to = math.min(from + SLICE - 1, #members)
      local known = redis.call('HMGET', data, unpack(members, from, to))
      local scores, fields = {}, {}
      for n = from, to do
        if takes(known[n - from + 1], values[n], tonumber(times[n])) then
          scores[#scores + 1], scores[#scores + 2] = times[n], members[n]
          fields[#fields + 1], fields[#fields + 2] = members[n], values[n]
          told[#told + 1] = values[n]
        end
      end
      if #fields > 0 then
        redis.call('ZADD', key, unpack(scores))
        redis.call('HSET', data, unpack(fields))
      end
    end
  end
  put(12, function(known, _, time) return not known and time >= oldest end)
  put(15, function(known, value) return known and known ~= value end)
  local over = redis.call('ZCARD', key) - kept
  for _ = 1, over, SLICE do
    local old, members = redis.call('ZPOPMIN', key, math.min(over, SLICE)), {}
    for n = 1, #old, 2 do members[#members + 1] = old[n] end
    redis.call('HDEL', data, unpack(members))
    over = over - SLICE
  end
  redis.call('EXPIRE', data, ttl)
  tell(told)
end

-- A greater or equal revision replaces. Only then is the old candle read, by the parser.
function write.candles()
  local key, told = KEYS[2], {}
  local opens, revisions, values = split(ARGV[12]), split(ARGV[13]), split(ARGV[14])
  for n = 1, #opens do
    local newer, same = true, false
    for _, old in ipairs(redis.call('ZRANGEBYSCORE', key, opens[n], opens[n])) do
      same = same or old == values[n]
      newer = newer and (old == values[n] or cjson.decode(old).revision <= tonumber(revisions[n]))
    end
    if newer and not same then
      redis.call('ZREMRANGEBYSCORE', key, opens[n], opens[n])
      redis.call('ZADD', key, opens[n], values[n])
      told[#told + 1] = values[n]
    end
  end
  redis.call('ZREMRANGEBYRANK', key, 0, -kept - 1)
  tell(told)
end

-- A value enters unless it is older than all of a full set. Of those of one identity a greater or equal revision replaces.
function write.newest()
  local key, told = KEYS[2], {}
  local times, values, fields = split(ARGV[12]), split(ARGV[13]), split(ARGV[14])
  local oldest = redis.call('ZCARD', key) >= kept and tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]) or -1
  local function are_alike(one, other)
    for _, field in ipairs(fields) do
      if one[field] ~= other[field] then return false end
    end
    return true
  end
  local function enters(time, value)
    if tonumber(time) < oldest then return false end
    local new
    for _, held in ipairs(redis.call('ZRANGEBYSCORE', key, time, time)) do
      if held == value then return false end
      new = new or cjson.decode(value)
      local old = cjson.decode(held)
      if are_alike(old, new) then
        if old.revision > new.revision then return false end
        redis.call('ZREM', key, held)
      end
    end
    return true
  end
  for n = 1, #values do
    if enters(times[n], values[n]) then
      redis.call('ZADD', key, times[n], values[n])
      told[#told + 1] = values[n]
    end
  end
  redis.call('ZREMRANGEBYRANK', key, 0, -kept - 1)
  tell(told)
end

-- A greater or equal (time, revision) replaces; it stands beside what has been written of the tag.
function write.latest()
  local key, told = KEYS[2], {}
  local fields, times, revisions, values = split(ARGV[12]), split(ARGV[13]), split(ARGV[14]), split(ARGV[15])
  for n = 1, #values do
    local field = fields[n] or ''
    local version = partition:gsub('/%d+$', '') .. '#' .. field
    local old_time, old_revision = string.match(redis.call('HGET', KEYS[1], version) or '-1 -1', '^(%S+) (%S+)$')
    local time, revision = tonumber(times[n]), tonumber(revisions[n])
    old_time, old_revision = tonumber(old_time), tonumber(old_revision)
    if time > old_time or (time == old_time and revision >= old_revision) then
      local old
      if field == '' then
        old = redis.call('GET', key)
        redis.call('SET', key, values[n])
      else
        old = redis.call('HGET', key, field)
        redis.call('HSET', key, field, values[n])
      end
      redis.call('HSET', KEYS[1], version, times[n] .. ' ' .. revisions[n])
      if old ~= values[n] then told[#told + 1] = values[n] end
    end
  end
  tell(told)
end

write[kind]()
redis.call('EXPIRE', KEYS[2], ttl)
if next_offset then redis.call('HSET', KEYS[1], partition, topic_id == '' and ARGV[5] or ARGV[5] .. '@' .. topic_id) end
redis.call('EXPIRE', KEYS[1], ARGV[7])
return 1
