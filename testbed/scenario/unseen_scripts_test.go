package scenario

func init() {
	addCheck("mailroom-dates", slow(2))
	addCheck("forms-clock", slow(2))
	addCheck("thumbs-programs", slow(2))
	addCheck("php-collect", slow(2))
}
