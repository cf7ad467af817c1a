//! As much of HTTP as is needed.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub async fn serve(stream: TcpStream, answer: impl Fn(&str) -> String) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(from);
    loop {
        let mut request = String::new();
        if from.read_line(&mut request).await? == 0 {
            return Ok(());
        }
        let mut header = String::new();
        while from.read_line(&mut header).await? > 2 {
            header.clear();
        }
        let body = answer(request.split(' ').nth(1).unwrap_or("/"));
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        to.write_all((head + &body).as_bytes()).await?;
    }
}
