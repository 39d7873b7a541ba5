-- Makes writes: what one batch of a topic's partition changes of a key, and how far the key's hash tag is written; each
-- all or nothing. On one server a call has many writes, in a cluster those of one tag.
-- Runs on Redis 6.2 and later, and on Valkey.
-- KEYS: for each write what is written of the tag (a hash), the data key, and for trades the key of their values.
-- ARGV: 1 kind, 2 TTL of the hashes, 3 PUBLISH or SPUBLISH, 4 TTL of the data, 5 how many are kept, 6 fields that tell
--   values of one time apart (newest), 7 the heads of the writes; then the items of all writes, one write behind the other:
--   trades: times, members, values; the same of runs
--   candles: open times, revisions, values
--   newest: times, values
--   latest: fields ('' where the key is a string), times, revisions, values
-- A head: topic/partition, the topic's id, the offset up to which we know the tag to be written, the next offset ('' where
--   another write of the batch and the tag follows), whether it begins before the known offset (1: someone moved the
--   group back, to have it written again), how many changes are passed over, how many items it has, and how many of runs.
-- Lists are texts with a line feed between; no item has one in it. Numbers are below 2^53.
-- Returns 1; or false where a tag is written less far than we know: Redis lost writes. The other writes are made.
local HEAD = '^(%S+) (%S*) (%S+) (%S*) (%d) (%d+) (%d+) (%d+)$'
local kind, ttl, kept = ARGV[1], ARGV[4], tonumber(ARGV[5])
local written_key, partition, skipped, key, data_key -- of the write at hand

local SLICE = 1000 -- values a call: Lua's stack ends at 8000

local function split(text, count)
  local items, from = {}, 1
  if count == 0 then return items end -- an empty text is one empty item, too
  while true do
    local to = string.find(text, '\n', from, true)
    items[#items + 1] = string.sub(text, from, (to or 0) - 1)
    if not to then return items end
    from = to + 1
  end
end

local function tell(values)
  if #values == 0 then return end
  redis.call(ARGV[3], key, '{"skipped":' .. skipped .. ',"records":[' .. table.concat(values, ',') .. ']}')
end

local lists, totals = {}, { 0, 0 } -- items of all writes, and how many: usual ones, and of runs
local heads = {}
for head in string.gmatch(ARGV[7], '[^\n]+') do
  local parts = { string.match(head, HEAD) }
  totals[1], totals[2] = totals[1] + parts[7], totals[2] + parts[8]
  heads[#heads + 1] = parts
end
for n = 8, #ARGV do lists[n - 7] = split(ARGV[n], totals[kind == 'trades' and n > 10 and 2 or 1]) end

local write = {}

-- A live trade enters where its id is absent, and is not older than all of a full set. A run's trade only replaces.
function write.trades(from, count, from_run, count_run)
  local told = {}
  local oldest = redis.call('ZCARD', key) >= kept and tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]) or -1
  local function put(times, members, values, first, last, takes)
    for from = first, last, SLICE do
      local to = math.min(from + SLICE - 1, last)
      local known = redis.call('HMGET', data_key, unpack(members, from, to))
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
        redis.call('HSET', data_key, unpack(fields))
      end
    end
  end
  put(lists[1], lists[2], lists[3], from, from + count - 1, function(known, _, time)
    return not known and time >= oldest
  end)
  put(lists[4], lists[5], lists[6], from_run, from_run + count_run - 1, function(known, value)
    return known and known ~= value
  end)
  local over = redis.call('ZCARD', key) - kept
  for _ = 1, over, SLICE do
    local old, members = redis.call('ZPOPMIN', key, math.min(over, SLICE)), {}
    for n = 1, #old, 2 do members[#members + 1] = old[n] end
    redis.call('HDEL', data_key, unpack(members))
    over = over - SLICE
  end
  redis.call('EXPIRE', data_key, ttl)
  tell(told)
end

-- A greater or equal revision replaces. Only then is the old candle read, by the parser.
function write.candles(from, count)
  local told = {}
  local opens, revisions, values = lists[1], lists[2], lists[3]
  for n = from, from + count - 1 do
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
function write.newest(from, count)
  local told, fields = {}, split(ARGV[6])
  local times, values = lists[1], lists[2]
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
  for n = from, from + count - 1 do
    if enters(times[n], values[n]) then
      redis.call('ZADD', key, times[n], values[n])
      told[#told + 1] = values[n]
    end
  end
  redis.call('ZREMRANGEBYRANK', key, 0, -kept - 1)
  tell(told)
end

-- A greater or equal (time, revision) replaces; it stands beside what has been written of the tag.
function write.latest(from, count)
  local told = {}
  local fields, times, revisions, values = lists[1], lists[2], lists[3], lists[4]
  for n = from, from + count - 1 do
    local field = fields[n]
    local version = partition:gsub('/%d+$', '') .. '#' .. field
    local old_time, old_revision = string.match(redis.call('HGET', written_key, version) or '-1 -1', '^(%S+) (%S+)$')
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
      redis.call('HSET', written_key, version, times[n] .. ' ' .. revisions[n])
      if old ~= values[n] then told[#told + 1] = values[n] end
    end
  end
  tell(told)
end

local keys_each, lost = kind == 'trades' and 3 or 2, false
local from, from_run = 1, 1
for n, head in ipairs(heads) do
  local place = (n - 1) * keys_each
  written_key, key, data_key = KEYS[place + 1], KEYS[place + 2], KEYS[place + 3]
  partition, skipped = head[1], head[6]
  local topic_id, known, next_offset = head[2], tonumber(head[3]), tonumber(head[4])
  local count, count_run = tonumber(head[7]), tonumber(head[8])
  local written = -1
  local offset, id = string.match(redis.call('HGET', written_key, partition) or '', '^(%d+)@?(.*)$')
  if offset and (id == '' or topic_id == '' or id == topic_id) then written = tonumber(offset) end
  if written < known then
    lost = true
  elseif not next_offset or written < next_offset or head[5] == '1' then -- else it is written, or another process is ahead
    write[kind](from, count, from_run, count_run)
    redis.call('EXPIRE', key, ttl)
    if next_offset then
      redis.call('HSET', written_key, partition, topic_id == '' and head[4] or head[4] .. '@' .. topic_id)
    end
    redis.call('EXPIRE', written_key, ARGV[2])
  end
  from, from_run = from + count, from_run + count_run
end
return not lost and 1
