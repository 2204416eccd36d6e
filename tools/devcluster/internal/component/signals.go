package component

import (
	"context"
	"os/signal"
	"syscall"
)

// signalContext ends with the first request to stop.
func signalContext(parent context.Context) (context.Context, context.CancelFunc) {
	if parent == nil {
		parent = context.Background()
	}
	return signal.NotifyContext(parent, syscall.SIGINT, syscall.SIGTERM)
}
