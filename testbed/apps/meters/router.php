<?php
// Readings of meters, and what a month costs, on the server that PHP has itself.

function read_meter(int $meter): array {
    $readings = [];
    for ($hour = 0; $hour < 24; $hour++) { $readings[] = ['meter' => $meter, 'hour' => $hour, 'value' => ($meter * 31 + $hour * 7) % 90]; }
    return $readings;
}

// The mistake: all that was gathered before is copied for each meter.
function gather_readings(int $first, int $many): array {
    $all = [];
    for ($meter = $first; $meter < $first + $many; $meter++) { $all = array_merge($all, read_meter($meter)); }
    return $all;
}

function price_month(int $house): array {
    $days = [];
    for ($day = 1; $day <= 31; $day++) { $days["day $day"] = round(($house * 17 + $day * $day) % 400 / 9, 2); }
    arsort($days);
    return $days;
}

$parts = explode('/', $_SERVER['REQUEST_URI']);
if (($parts[1] ?? '') === 'readings') {
    $all = gather_readings((int)$parts[2], (int)$parts[3]);
    echo count($all), ' readings, ', array_sum(array_column($all, 'value')), "\n";
} else {
    echo json_encode(price_month((int)($parts[2] ?? 1)));
}
