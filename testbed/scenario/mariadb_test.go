package scenario

func init() {
	addCheck("mariadb-sync", slow(1.3)) // how much slower is up to the disk
	addCheck("mariadb-convoy", slow(2))
	addCheck("mariadb-sleep", nil) // the shop itself is as quick as ever
	addCheck("mariadb-rows", fewer(0.75))
}
