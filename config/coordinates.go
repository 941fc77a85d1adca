package config

import (
	"time"

	"concord/catalog"
)

// rawCoordinates is how the servers write the coordinates that agents send.
type rawCoordinates struct {
	UpdatePeriod     *string `mapstructure:"update_period"`
	UpdateBatchSize  *int    `mapstructure:"update_batch_size"`
	UpdateMaxBatches *int    `mapstructure:"update_max_batches"`
}

// coordinates is whether there are network coordinates, and how they get into the catalog.
func (b *builder) coordinates() {
	r, o := b.raw, &b.out
	on := !or(r.DisableCoordinates, false)
	o.LAN.Coordinates, o.WAN.Coordinates = on, on
	c, raw := &o.Coordinates, r.Consul.Coordinate
	c.Interval = b.duration("sync_coordinate_interval_min", r.CoordinateInterval, 0)
	c.Rate = b.positive("sync_coordinate_rate_target", r.CoordinateRate, 0)
	c.Period = b.duration("consul.coordinate.update_period", raw.UpdatePeriod, map[bool]time.Duration{true: 100 * time.Millisecond}[b.dev])
	c.BatchSize = b.positive("consul.coordinate.update_batch_size", raw.UpdateBatchSize, 0)
	if c.BatchSize > catalog.MaxCoordinates {
		b.fail("consul.coordinate.update_batch_size: %d is too large, at most %d", c.BatchSize, catalog.MaxCoordinates)
	}
	c.MaxBatches = b.positive("consul.coordinate.update_max_batches", raw.UpdateMaxBatches, 0)
}

// positive is a number that must be more than zero if it is given.
func (b *builder) positive(key string, v *int, def int) int {
	if v != nil && *v <= 0 {
		b.fail("%s: %d must be positive", key, *v)
		return def
	}
	return or(v, def)
}
