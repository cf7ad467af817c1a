# Freight of a port: consignments are weighed and listed; where they are another service says.
use strict;
use warnings;
use HTTP::Tiny;

my $upstream = $ENV{UPSTREAM};
my $agent = HTTP::Tiny->new(timeout => 2);

# The mistake: it waits a second before it asks again, twice, and holds its worker.
sub locate {
    my ($number) = @_;
    for my $try (1 .. 3) {
        my $answer = $agent->get("$upstream/app/rate?consignment=$number");
        return $answer->{content} if $answer->{success};
        sleep 1 if $try < 3;
    }
    return "unknown\n";
}

sub weigh {
    my ($number) = @_;
    my %weight;
    $weight{$_ % 17} += ($number * 31 + $_ * 7) % 900 for 1 .. 400;
    return join '', map { "$_: $weight{$_}\n" } sort { $weight{$b} <=> $weight{$a} } keys %weight;
}

sub {
    my ($env) = @_;
    my ($what, $number) = $env->{PATH_INFO} =~ m{^/(consignments|places)/(\d+)$} or return [404, [], []];
    return [200, ['Content-Type' => 'text/plain'], [$what eq 'places' ? locate($number) : weigh($number)]];
}
