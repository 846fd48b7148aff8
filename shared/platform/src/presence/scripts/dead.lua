-- The nodes whose lease is over and whose users nobody has taken off them yet.
local result = {}
for _, node in ipairs(redis.call('SMEMBERS', presence .. 'telling')) do
    if redis.call('EXISTS', presence .. 'node:' .. node) == 0 then
        table.insert(result, node)
    end
end
return result
