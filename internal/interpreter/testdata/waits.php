<?php
// Waits in known functions, after it has said which, innermost first:
// [function, file, line], in JSON. It ends when its input does.
class Shop {
    public function checkout(array $items) {
        return array_map(fn($item) => $this->price($item), $items);
    }
    private function price($item) {
        foreach (amounts() as $amount) {
            return $amount;
        }
    }
}
function amounts() {
    yield waits(3);
}
function waits(int $depth) {
    if ($depth > 0) {
        return waits($depth - 1);
    }
    $told = [];
    $function = null;
    foreach (debug_backtrace() as $frame) {
        $name = isset($frame['class']) ? $frame['class'] . '::' . $frame['function'] : $frame['function'];
        $told[] = $name;
    }
    $told[] = '{main}';
    echo json_encode(['pid' => getmypid(), 'functions' => $told, 'line' => __LINE__ + 1]), "\n";
    return fgets(STDIN);
}
$shop = new Shop();
$shop->checkout([1]);
