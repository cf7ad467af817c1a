package scenario

// javaServers are a server of the testbed's own, apps/parcels, and Debian's
// Tomcat with a web application, apps/storefront.
func javaServers() []Scenario {
	return []Scenario{
		javaHalfClosed(), javaPoolConvoy(), javaBufferLeak(), javaRetrySleep(), javaConcatenation(),
		tomcatSession(), tomcatJSP(),
	}
}
