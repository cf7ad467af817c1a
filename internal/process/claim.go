package process

// A process may claim any service.instance.id in its environment, that of
// another service's process among them. So an id belongs to the family of
// processes (a root and what it forked) that was found with it first; another
// family that claims it goes by the id it would have without a claim. Such an
// id is nobody else's to claim: whoever did loses it.

// service is what tells instances apart: an instance id is unique within a
// service (semantic conventions, service.instance.id).
type service struct{ namespace, name, instance string }

func (p *Process) service() service {
	return service{p.ServiceNamespace, p.ServiceName, p.InstanceID}
}

// family is the root that a process belongs to.
type family struct {
	root  int32
	ticks uint64
}

func (p *Process) family() family { return family{p.Root, p.rootTicks} }

// holding is who has an id: a family, by so many processes.
type holding struct {
	family    family
	processes int
	claimed   bool
}

// holders has the ids in use, and those not claimed also without a service: to
// take another's id under another name is a claim, too.
type holders map[service]*holding

func (p *Process) keys() []service {
	if p.claimed {
		return []service{p.service()}
	}
	return []service{p.service(), {instance: p.InstanceID}}
}

func (h holders) hold(p *Process) {
	for _, k := range p.keys() {
		if h[k] == nil {
			h[k] = &holding{family: p.family(), claimed: p.claimed}
		}
		h[k].processes++
	}
}

func (h holders) release(p *Process) {
	for _, k := range p.keys() {
		if had := h[k]; had != nil {
			if had.processes--; had.processes <= 0 {
				delete(h, k)
			}
		}
	}
}

// taken reports whether another family has the id.
func (h holders) taken(p *Process) bool {
	for _, k := range []service{p.service(), {instance: p.InstanceID}} {
		if had := h[k]; had != nil && had.family != p.family() {
			return true
		}
	}
	return false
}

// ownID is the instance id of a process that claims none.
func (d *Discoverer) ownID(p *Process) string {
	return instanceID(d.host.ID, d.boot, p.Root, p.rootTicks)
}

// settle gives a process, so far known as old, an id that is nobody else's.
func (d *Discoverer) settle(p, old *Process, ch *Changes) {
	if !d.held.taken(p) {
		return
	}
	if p.claimed {
		p.claimed, p.InstanceID = false, d.ownID(p)
		if old == nil || old.InstanceID != p.InstanceID {
			ch.Claims++
		}
		if !d.held.taken(p) {
			return
		}
	}
	// Somebody guessed it.
	for _, e := range d.seen {
		q := e.process
		if q == nil || !q.claimed || q.InstanceID != p.InstanceID {
			continue
		}
		other := *q
		other.claimed, other.InstanceID = false, d.ownID(q)
		d.held.release(q)
		e.process = &other
		d.held.hold(e.process)
		ch.Claims++
		ch.Ended, ch.Started = append(ch.Ended, q), append(ch.Started, e.process)
	}
}
