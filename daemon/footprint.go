package daemon

// Footprint is how much a loop keeps. At rest it follows from the configuration
// alone, however long the loop has run: simulations hold it to that.
type Footprint struct {
	Routers, RouterIDs, RouterDeadlines, Waiting int
	Services, ServiceIDs, ServiceDeadlines       int
	Checks, CheckIDs, CheckDeadlines             int
	Links, Indexes, Groups, Claims               int
	// Pending is what one turn leaves to the next.
	Pending int
	Orders  int
	// Records are those of the history in memory, Histories the names they are under.
	Records, Histories int
}

// Footprint counts. It is for the goroutine that turns the loop.
func (l *Loop) Footprint() Footprint {
	return Footprint{
		Routers: len(l.routers), RouterIDs: len(l.byID), RouterDeadlines: len(l.due.list), Waiting: len(l.waiting),
		Services: len(l.services), ServiceIDs: len(l.byGroup), ServiceDeadlines: len(l.serviceDue.list),
		Checks: len(l.checks), CheckIDs: len(l.byCheck), CheckDeadlines: len(l.checkDue.list),
		Links: len(l.links), Indexes: len(l.byIndex), Groups: len(l.groups), Claims: len(l.claims),
		Pending: len(l.undecided) + len(l.unserved) + len(l.toEvaluate) + len(l.toAssess) + len(l.setAside),
		Orders:  len(l.orders.list), Records: len(l.history.all.records), Histories: len(l.history.each),
	}
}
