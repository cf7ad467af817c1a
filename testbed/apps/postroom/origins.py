"""Where mail comes from."""
import dns.exception
import dns.resolver


class Origins:
    """Says of a domain whether mail is taken from it: it has somewhere to answer to."""

    def __init__(self, name_server):
        self.resolver = dns.resolver.Resolver(configure=False)
        self.resolver.nameservers = [name_server]
        self.resolver.lifetime = 3

    def welcome(self, domain):
        # The mistake: the event loop waits here for the answer, and each mail asks anew.
        try:
            return len(self.resolver.resolve(domain, "MX", search=False)) > 0
        except dns.exception.DNSException:
            return False
