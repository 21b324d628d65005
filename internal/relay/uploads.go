package relay

func (c *core) uploadIQ(q *request, to address) { c.no(q, "cancel", "service-unavailable", "") }
