package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

func mariadb() []Scenario {
	return []Scenario{mariadbSync(), mariadbConvoy(), mariadbSleep(), mariadbRows()}
}

// The shop's tables, in rows.
const mariadbItems, mariadbCarts = 10_000, 2_000

// startMariaDB starts a shop's database and the load on it. Commits reach the
// disk within a second, which is enough for many shops.
func startMariaDB(ctx context.Context, perSecond float64) (Workload, error) {
	s, err := server.StartMariaDB(ctx, "--log-bin=binlog", "--server-id=1",
		"--sync-binlog=0", "--innodb-flush-log-at-trx-commit=2",
		"--innodb-log-file-size=32M", "--innodb-buffer-pool-size=64M")
	if err != nil {
		return Workload{}, err
	}
	if err := fillMariaDB(ctx, s); err != nil {
		return Workload{}, errors.Join(err, s.Stop())
	}
	return Workload{
		Server: s,
		Load: load.Config{
			Workers: 8,
			Rate:    perSecond,
			Dial: func() (load.Client, error) {
				c, err := client.DialMariaDB(ctx, s.Addr, "shop")
				if err != nil {
					return nil, err
				}
				return mariadbClient{c}, nil
			},
		},
	}, nil
}

func fillMariaDB(ctx context.Context, s *server.Server) error {
	c, err := client.DialMariaDB(ctx, s.Addr, "shop")
	if err != nil {
		return err
	}
	defer c.Close()
	for _, statement := range []string{
		"CREATE TABLE items (id INT PRIMARY KEY, name VARCHAR(100) NOT NULL, price INT NOT NULL, stock INT NOT NULL) ENGINE=InnoDB",
		fmt.Sprintf("INSERT INTO items SELECT seq, CONCAT('item ', seq, REPEAT('x', 60)), seq %% 500, 1000 FROM seq_1_to_%d", mariadbItems),
		"CREATE TABLE carts (id INT PRIMARY KEY, item INT NOT NULL, note TEXT, KEY (item)) ENGINE=InnoDB",
		fmt.Sprintf("INSERT INTO carts SELECT seq, seq, '' FROM seq_1_to_%d", mariadbCarts),
		"ANALYZE TABLE items, carts",
	} {
		if err := c.Query(statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

type mariadbClient struct{ *client.MariaDB }

var mariadbNote = strings.Repeat("n", 200)

// Request is a page of the shop, a cart that changes, or an item that is sold.
func (c mariadbClient) Request(r *rand.Rand) error {
	item, cart := 1+r.IntN(mariadbItems), 1+r.IntN(mariadbCarts)
	switch r.IntN(20) {
	case 0, 1, 2, 3, 4:
		return c.Exec("UPDATE items SET stock = stock - 1 WHERE id = ?", item)
	case 5, 6, 7:
		return c.Exec("REPLACE INTO carts VALUES (?, ?, ?)", cart, item, mariadbNote)
	case 8:
		return c.Exec("DELETE FROM carts WHERE id = ?", cart)
	case 9, 10, 11:
		return c.Query("SELECT id, name, price FROM items WHERE id BETWEEN ? AND ? ORDER BY price, name LIMIT 20", item, item+100)
	case 12:
		return c.Query("SELECT i.name, i.price, c.note FROM carts c JOIN items i ON i.id = c.item WHERE c.id = ?", cart)
	case 13:
		// A page that still asks for a column of the last release.
		var refused *mysql.MySQLError
		if err := c.Query("SELECT discount FROM items WHERE id = ?", item); !errors.As(err, &refused) {
			return err
		}
		return nil
	default:
		return c.Query("SELECT name, price, stock FROM items WHERE id = ?", item)
	}
}
