<?php
// A diary of a workshop: one process serves all connections.
require __DIR__ . '/lib/Loop.php';
require __DIR__ . '/lib/Diary.php';
require __DIR__ . '/lib/Pages.php';

[, $address, $folder] = $argv;
$diary = new Diary("$folder/diary.txt", "$folder/settings.ini");
$pages = new Pages($diary);
$loop = new Loop($address);
$loop->run(fn (string $path): string => $pages->answer($path));
