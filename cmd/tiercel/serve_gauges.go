package main

import (
	"context"
	"time"

	"github.com/tiercel-io/tiercel/env"
)

// measureEvery is how often the sizes of log and disk are taken.
const measureEvery = 10 * time.Second

// measureDisk tells how large the log is and how much room its disk has.
func (s *server) measureDisk(ctx context.Context) error {
	for {
		s.metrics.LogBytes.Set(float64(s.log.Stats().Bytes))
		// A file system that cannot tell leaves the gauge as it was.
		if usage, err := s.world.FS.GetDiskUsage(string(s.cfg.Data)); err == nil {
			s.metrics.DiskFree.Set(float64(usage.AvailBytes))
		}
		if err := env.Sleep(ctx, s.world.Clock, measureEvery); err != nil {
			return nil
		}
	}
}
