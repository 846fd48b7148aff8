-- Renews a node's lease: 1, 0 when it was lost, 2 when others have taken users off the node.
-- Only here is the member `lease` set: a set that users entered after the lease was lost lacks it, so the
-- loss is noticed all the same.
local held = redis.call('ZADD', mine, 0, 'lease') == 0
redis.call('PEXPIRE', mine, lease)
redis.call('PEXPIRE', told, owed)
redis.call('SET', presence .. 'connections:' .. node_id, rest[1], 'PX', lease)
redis.call('SADD', nodes, node_id)
for _, node in ipairs(redis.call('SMEMBERS', nodes)) do
    if redis.call('EXISTS', presence .. 'node:' .. node) == 0 then
        redis.call('SREM', nodes, node)
    end
end
if redis.call('DEL', presence .. 'swept:' .. node_id) == 1 then return 2 end
return held and 1 or 0
