-- Takes one request of a key into account (GCRA). The key holds the moment, in microseconds of the server's clock, at
-- which its bucket will be full again.
-- ARGV[1]: requests in a window. ARGV[2]: the window, in microseconds.
-- Answers {1, requests that may come now} or {0, microseconds until one may}.
local limit = tonumber(ARGV[1])
local window = tonumber(ARGV[2])
local interval = window / limit
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local full_at = tonumber(redis.call('GET', KEYS[1]) or now) or now
-- A clock that was set back must not leave a caller waiting for longer than one window.
full_at = math.min(math.max(full_at, now), now + window)

local next_full_at = full_at + interval
local wait = next_full_at - window - now
-- Half a microsecond is what the division may lose.
if wait > 0.5 then
  return {0, math.ceil(wait)}
end
redis.call('SET', KEYS[1], string.format('%.3f', next_full_at), 'PX', math.max(1, math.ceil((next_full_at - now) / 1000)))
return {1, math.max(0, math.floor((now + window - next_full_at) / interval + 0.000001))}
