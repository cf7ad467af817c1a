// Command rentals keeps the rentals of a library of tools in PostgreSQL, with eight
// connections.
package main

import (
	"database/sql"
	"flag"
	"fmt"
	"log"
	"net/http"
	"time"

	_ "github.com/lib/pq" // the driver
)

type rentals struct{ db *sql.DB }

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address")
	dsn := flag.String("database", "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable", "where the rentals are")
	flag.Parse()
	db, err := sql.Open("postgres", *dsn)
	if err != nil {
		log.Fatal(err)
	}
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	r := &rentals{db}
	if err := r.prepare(); err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /terms", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "bring it back clean") })
	mux.HandleFunc("GET /rentals/{id}", r.show)
	mux.HandleFunc("POST /rentals/{id}/return", r.giveBack)
	mux.HandleFunc("GET /reports/{day}", r.report)
	server := &http.Server{Addr: *listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func (r *rentals) prepare() error {
	for _, statement := range []string{
		"CREATE TABLE customer (id serial PRIMARY KEY, name text NOT NULL)",
		"CREATE TABLE rental (id serial PRIMARY KEY, day int NOT NULL, customer int NOT NULL, returned int NOT NULL DEFAULT 0)",
		"INSERT INTO customer (name) SELECT 'Customer ' || i FROM generate_series(1, 500) i",
		"INSERT INTO rental (day, customer) SELECT i % 100, 1 + i % 500 FROM generate_series(1, 3000) i",
		"CREATE INDEX ON rental (day)",
	} {
		if _, err := r.db.Exec(statement); err != nil {
			return err
		}
	}
	return nil
}

func (r *rentals) show(w http.ResponseWriter, request *http.Request) {
	var day, customer int
	err := r.db.QueryRow("SELECT day, customer FROM rental WHERE id = $1", request.PathValue("id")).Scan(&day, &customer)
	answer(w, fmt.Sprintln(day, customer), err)
}

func (r *rentals) giveBack(w http.ResponseWriter, request *http.Request) {
	_, err := r.db.Exec("UPDATE rental SET returned = returned + 1 WHERE id = $1", request.PathValue("id"))
	answer(w, "thank you\n", err)
}

// report lists the rentals of a day with the names of those who rented. The mistake: it
// needs a second connection while it holds one.
func (r *rentals) report(w http.ResponseWriter, request *http.Request) {
	rows, err := r.db.Query("SELECT id, customer FROM rental WHERE day = $1", request.PathValue("day"))
	if err != nil {
		answer(w, "", err)
		return
	}
	defer rows.Close()
	text := ""
	for rows.Next() {
		var id, customer int
		if err := rows.Scan(&id, &customer); err != nil {
			answer(w, "", err)
			return
		}
		name, err := r.customerName(customer)
		if err != nil {
			answer(w, "", err)
			return
		}
		text += fmt.Sprintln(id, name)
	}
	answer(w, text, rows.Err())
}

func (r *rentals) customerName(id int) (name string, err error) {
	err = r.db.QueryRow("SELECT name FROM customer WHERE id = $1", id).Scan(&name)
	return name, err
}

func answer(w http.ResponseWriter, text string, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprint(w, text)
}
