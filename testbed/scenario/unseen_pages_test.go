package scenario

func init() {
	addCheck("orders-export", slow(2))
	addCheck("radicale-recurrence", slow(2))
	addCheck("library-overlap", slow(2))
	addCheck("bookings-leak", slow(2))
	addCheck("rclone-listing", slow(2))
}
