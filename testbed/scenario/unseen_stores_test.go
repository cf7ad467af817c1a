package scenario

func init() {
	addCheck("prometheus-search", slow(2))
	addCheck("etcd-defragment", slow(2))
}
