package agent

import (
	"time"

	"concord/catalog"
)

const (
	nodeMaintenanceReason = "Maintenance mode is enabled for this node, but no reason was provided. " +
		"This is a default message."
	serviceMaintenanceReason = "Maintenance mode is enabled for this service, but no reason was provided. " +
		"This is a default message."
)

// Maintenance puts a service, or with serviceID "" the whole node, into maintenance mode or
// takes it out: a critical check with the reason as its notes. Neither has an effect when
// repeated. The error is a *NotFoundError.
func (l *Local) Maintenance(now time.Duration, serviceID string, enable bool, reason string) error {
	l.now = now
	def := CheckDefinition{
		ID: NodeMaintenance, Name: "Node Maintenance Mode", Notes: nodeMaintenanceReason,
		Status: catalog.HealthCritical,
	}
	if serviceID != "" {
		if l.service(keyOf(serviceID)) == nil {
			return unknownService(serviceID)
		}
		def.ID, def.Name, def.Notes = ServiceMaintenancePrefix+serviceID, "Service Maintenance Mode", serviceMaintenanceReason
		def.ServiceID = serviceID
	}
	if reason != "" {
		def.Notes = reason
	}
	if active := l.check(keyOf(def.ID)) != nil; active == enable {
		return nil
	}
	if enable {
		l.putCheck(def.normalize(l.cfg), false, false)
		l.persistCheck(keyOf(def.ID))
	} else {
		l.dropCheck(keyOf(def.ID))
	}
	l.settle()
	return nil
}
