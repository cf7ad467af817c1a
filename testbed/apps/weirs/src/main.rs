//! Messages from weirs: gauges report, and messages are sorted by the rules of who reads them.

mod gauges;
mod http;
mod rules;

use std::sync::Arc;
use tokio::net::TcpListener;

struct Weirs {
    rules: rules::Rules,
    gauges: gauges::Gauges,
}

impl Weirs {
    fn answer(&self, path: &str) -> String {
        let mut parts = path.split('/').skip(1);
        let what = parts.next().unwrap_or("");
        let who = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        let number = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        match what {
            "messages" => self.rules.sort(who, &self.gauges.message(number)),
            "gauges" => self.gauges.show(who),
            _ => "weirs\n".to_string(),
        }
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_string());
    let weirs = Arc::new(Weirs { rules: rules::Rules::new(), gauges: gauges::Gauges::new() });
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let weirs = weirs.clone();
        tokio::spawn(async move { http::serve(stream, |path| weirs.answer(path)).await });
    }
}
