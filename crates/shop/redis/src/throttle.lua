-- Counts failures under one key, and the attempts that are under way.
-- ARGV[1]: `begin`, `success`, `failure` or `neither`. ARGV[2]: the attempt, in hexadecimal digits.
-- ARGV[3]: failures that are free. ARGV[4]: the wait after them. ARGV[5]: the window. ARGV[6]: how long a place is kept for
-- an attempt whose process says nothing more. Times are milliseconds, by the server's clock.
-- `begin` answers {0, 0} when the attempt may begin, {1, 0} when it depends on those under way, {2, time} when it has to
-- wait; the others answer {0, 0}.
--
-- The key holds the number of failures, the moment of the last one, and `attempt:end of its place` for each under way.
local what, attempt = ARGV[1], ARGV[2]
local free, first_wait, window, lease = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local words = {}
for word in string.gmatch(redis.call('GET', KEYS[1]) or '', '%S+') do
  words[#words + 1] = word
end
local failures = tonumber(words[1]) or 0
-- A clock that was set back must not make anybody wait for longer.
local last = math.min(tonumber(words[2]) or 0, now)
if now - last >= window then
  failures, last = 0, 0
end
local places = {}
for number = 3, #words do
  local other, ends = string.match(words[number], '^(%x+):(%d+)$')
  ends = tonumber(ends)
  if ends and now < ends and ends <= now + lease and other ~= attempt then
    places[#places + 1] = words[number]
  end
end

if what == 'begin' then
  if failures + #places >= free then
    if #places > 0 then
      return {1, 0}
    end
    -- Beyond 2^40 it is longer than any window.
    local left = math.min(first_wait * 2 ^ math.min(failures - free, 40), window) - (now - last)
    if left > 0 then
      return {2, math.ceil(left)}
    end
  end
  places[#places + 1] = string.format('%s:%.0f', attempt, now + lease)
elseif what == 'success' then
  failures, last = 0, 0
elseif what == 'failure' then
  failures, last = failures + 1, now
end

if failures == 0 and #places == 0 then
  redis.call('UNLINK', KEYS[1])
  return {0, 0}
end
local text = string.format('%.0f %.0f', failures, last)
for _, place in ipairs(places) do
  text = text .. ' ' .. place
end
local kept = #places > 0 and lease or 0
if failures > 0 then
  kept = math.max(kept, last + window - now)
end
redis.call('SET', KEYS[1], text, 'PX', string.format('%.0f', math.max(kept, 1)))
return {0, 0}
