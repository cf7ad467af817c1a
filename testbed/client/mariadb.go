package client

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"log"

	"github.com/go-sql-driver/mysql"
)

// MariaDB is one connection to a MariaDB server; not safe for concurrent use.
type MariaDB struct {
	pool *sql.DB
	conn *sql.Conn
	// ctx ends with Close, which may come while a statement is under way.
	ctx    context.Context
	cancel context.CancelFunc
}

// DialMariaDB connects to host:port as root, who has no password. The database
// may be empty.
func DialMariaDB(ctx context.Context, addr, database string) (*MariaDB, error) {
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr, config.DBName = "root", "tcp", addr, database
	config.Timeout, config.ReadTimeout, config.WriteTimeout = timeout, timeout, timeout
	// Parameters are put in by the driver: one round trip for a statement.
	config.InterpolateParams = true
	// A load that ends closes connections under their requests.
	config.Logger = log.New(io.Discard, "", 0)
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	pool := sql.OpenDB(connector)
	conn, err := pool.Conn(ctx)
	if err != nil {
		pool.Close()
		return nil, err
	}
	lifetime, cancel := context.WithCancel(context.Background())
	return &MariaDB{pool, conn, lifetime, cancel}, nil
}

// Close closes the connection; a statement that is under way fails.
func (c *MariaDB) Close() error {
	c.cancel()
	// The connection is gone already when its statement was cut off.
	if err := c.conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
		c.pool.Close()
		return err
	}
	return c.pool.Close()
}

// Exec runs a statement that returns no rows.
func (c *MariaDB) Exec(statement string, args ...any) error {
	_, err := c.conn.ExecContext(c.ctx, statement, args...)
	return err
}

// Query runs a statement and drops the rows it returns.
func (c *MariaDB) Query(statement string, args ...any) error {
	rows, err := c.conn.QueryContext(c.ctx, statement, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}
