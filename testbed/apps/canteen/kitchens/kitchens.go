// Package kitchens asks kitchens what is in their dishes.
package kitchens

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
)

// Book has the kitchens that can be asked.
type Book struct {
	own    *grpc.ClientConn
	guests map[string]string
}

// Open connects to the own kitchen.
func Open(address string) (*Book, error) {
	own, err := reach(address)
	if err != nil {
		return nil, err
	}
	return &Book{own: own, guests: map[string]string{}}, nil
}

// Invite adds the kitchen of somebody else.
func (b *Book) Invite(name, address string) { b.guests[name] = address }

// Contents is what a dish of a kitchen contains.
func (b *Book) Contents(ctx context.Context, kitchen, dish string) (string, error) {
	if address, ok := b.guests[kitchen]; ok {
		return b.elsewhere(ctx, address, dish)
	}
	return ask(ctx, b.own, dish)
}

// elsewhere asks a guest. The mistake: each question has a connection of its own.
func (b *Book) elsewhere(ctx context.Context, address, dish string) (string, error) {
	there, err := reach(address)
	if err != nil {
		return "", err
	}
	defer there.Close()
	return ask(ctx, there, dish)
}

func reach(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

func ask(ctx context.Context, kitchen *grpc.ClientConn, dish string) (string, error) {
	answer, err := health.NewHealthClient(kitchen).Check(ctx, &health.HealthCheckRequest{Service: dish})
	if err != nil {
		return "", fmt.Errorf("asking of %s: %w", dish, err)
	}
	return dish + ": " + answer.GetStatus().String(), nil
}
