//! What gauges show.

pub struct Gauges {
    names: Vec<String>,
}

impl Gauges {
    pub fn new() -> Self {
        Gauges { names: (0..300).map(|i| format!("weir {} at mile {}", i, (i * 37) % 900)).collect() }
    }

    pub fn message(&self, number: usize) -> String {
        let name = &self.names[number % self.names.len()];
        format!("gauge={} level={} flow={} state=ok from {}", number, number % 700, (number * 31) % 9000, name)
    }

    pub fn show(&self, number: usize) -> String {
        let mut text = String::new();
        for (i, name) in self.names.iter().enumerate().skip(number % 200).take(60) {
            text.push_str(&format!("{}: {} cm\n", name, (i * 71 + number) % 800));
        }
        text
    }
}
