package simulator

import "context"

type Options struct{ Kubeconfig, Config string }

func Run(ctx context.Context, options Options) error { <-ctx.Done(); return nil }
