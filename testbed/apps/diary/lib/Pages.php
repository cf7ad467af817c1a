<?php
// What is answered to which path.
class Pages
{
    public function __construct(private Diary $diary)
    {
    }

    public function answer(string $path): string
    {
        $parts = explode('/', $path);
        return match ($parts[1] ?? '') {
            'jobs' => $this->diary->enter((int)($parts[2] ?? 0), 8) . " steps\n",
            'last' => implode("\n", array_map('htmlspecialchars', $this->diary->last(40))) . "\n",
            'plan' => $this->plan((int)($parts[2] ?? 0)),
            default => "a diary\n",
        };
    }

    private function plan(int $week): string
    {
        $days = [];
        for ($i = 0; $i < 60; $i++) {
            $days[] = ['day' => $i % 7, 'job' => crc32("job$week-$i") % 900, 'who' => ucwords(strrev("person $i"))];
        }
        usort($days, fn ($a, $b) => [$a['day'], $a['job']] <=> [$b['day'], $b['job']]);
        return json_encode($days) . "\n";
    }
}
