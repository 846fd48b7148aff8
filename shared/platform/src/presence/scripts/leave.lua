-- Lets users go: those that no live node has any more.
local stated = redis.call('HMGET', told, unpack(rest))
redis.call('HDEL', told, unpack(rest))
redis.call('ZREM', mine, unpack(rest))
return gone(rest, stated)
