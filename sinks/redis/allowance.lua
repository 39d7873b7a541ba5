-- Takes weight out of a caller's allowance: a sliding log of what was taken. Runs on Redis 6.2 and later, and on Valkey.
-- KEYS: the hash of what was taken: time in microseconds -> weight.
-- ARGV: 1 the allowance, 2 the window in microseconds, 3 the least weight wanted, 4 the most; 5 weight that is given
-- back, 6 the time under which it was taken.
-- Returns the weight granted (0: even the least does not fit), its time, what is left of the allowance, and the
-- microseconds until the least fits (0: now) and until the oldest weight is free again.
local limit, window, least, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local rest = tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local since = now - window
local taken, spent, oldest = {}, 0, now
local held = redis.call('HGETALL', KEYS[1])
for i = 1, #held, 2 do
  local moment, weight = tonumber(held[i]), tonumber(held[i + 1])
  if rest > 0 and held[i] == ARGV[6] then
    weight = redis.call('HINCRBY', KEYS[1], held[i], -rest)
  end
  if moment <= since or moment > now + window or weight <= 0 then  -- so far ahead: the clock was set back
    redis.call('HDEL', KEYS[1], held[i])
  else
    taken[#taken + 1] = {moment, weight}
    spent = spent + weight
    oldest = math.min(oldest, moment)
  end
end
local free = limit - spent
if free >= least then
  local granted = math.min(most, free)
  local moment = string.format('%.0f', now)
  redis.call('HINCRBY', KEYS[1], moment, granted)
  redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000) + 1000)
  return {granted, moment, free - granted, 0, oldest - since}
end
table.sort(taken, function(a, b) return a[1] < b[1] end)
local wait = window
for _, entry in ipairs(taken) do
  free = free + entry[2]
  if free >= least then
    wait = entry[1] - since
    break
  end
end
return {0, '', math.max(0, limit - spent), wait, oldest - since}
