-- Plain http leads to the control plane's own host, which is the owners' matter from here on: what stands in their project stays.
update webhooks set config = config || '{"loopback": true}'
where url like 'http://%' and project_id in (select id from projects where name = 'default');
