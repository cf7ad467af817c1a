<?php
// What was done in the workshop, a line each, in a file.
class Diary
{
    private $file;
    private array $last = [];

    public function __construct(string $path, private string $settings)
    {
        $this->file = fopen($path, 'a');
    }

    public function enter(int $job, int $steps): int
    {
        $careful = parse_ini_file($this->settings)['careful'] ?? false;
        for ($step = 0; $step < $steps; $step++) {
            $this->line("job $job: step $step done", (bool)$careful);
        }
        return $steps;
    }

    private function line(string $text, bool $careful): void
    {
        fwrite($this->file, date('c') . " $text\n");
        if ($careful) {
            fsync($this->file);
        }
        $this->last[] = $text;
        if (count($this->last) > 200) {
            $this->last = array_slice($this->last, -50);
        }
    }

    public function last(int $many): array
    {
        return array_slice($this->last, -$many);
    }
}
