# A gazette: announcements are taken, tidied and shown.
use strict;
use warnings;

my %latest;

# The mistake: a run of spaces that does not end its line is tried from each of its spaces.
sub tidy_lines {
    my ($text) = @_;
    $text =~ s/\s*$//mg;
    return $text;
}

sub count_words {
    my ($text) = @_;
    my %count;
    $count{lc $_}++ for split /\W+/, $text;
    return join ', ', map { "$_: $count{$_}" } (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 4];
}

sub take_announcement {
    my ($env, $number) = @_;
    $env->{'psgi.input'}->read(my $text, $env->{CONTENT_LENGTH} // 0);
    $latest{$number} = tidy_lines($text);
    return [200, ['Content-Type' => 'text/plain'], [count_words($latest{$number}), "\n"]];
}

sub {
    my ($env) = @_;
    my ($number) = $env->{PATH_INFO} =~ m{^/announcements/(\d+)$} or return [404, [], []];
    return take_announcement($env, $number) if $env->{REQUEST_METHOD} eq 'POST';
    return [200, ['Content-Type' => 'text/plain'], [$latest{$number} // "nothing yet\n"]];
}
