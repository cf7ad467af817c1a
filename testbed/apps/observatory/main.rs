//! An observatory: stars are shown, and where they stand tonight, which another service
//! says and which is kept.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

struct Observatory {
    places: Mutex<HashMap<usize, String>>,
    ephemerides: String,
}

impl Observatory {
    fn show(&self, star: usize) -> String {
        let mut text = String::new();
        for year in 0..60 {
            text.push_str(&format!("{}: {}\n", 1960 + year, (star * 37 + year * year) % 1000));
        }
        text
    }

    /// The mistake: what is matched on lives until the end of the match, and so does the
    /// lock, also while the other service is asked.
    fn place(&self, star: usize) -> io::Result<String> {
        match self.places.lock().unwrap().get_mut(&star) {
            Some(place) => Ok(place.clone()),
            None => self.ask(star),
        }
    }

    fn ask(&self, star: usize) -> io::Result<String> {
        let mut stream = TcpStream::connect(&self.ephemerides)?;
        stream.write_all(format!("GET /app/rate?star={} HTTP/1.0\r\n\r\n", star).as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.rsplit("\r\n\r\n").next().unwrap_or("").to_string())
    }

    /// Asks for the stars that most people look at.
    fn learn(&self, stars: usize) -> io::Result<String> {
        for star in 0..stars {
            let place = self.ask(star)?;
            self.places.lock().unwrap().insert(star, place);
        }
        Ok(format!("{} stars\n", stars))
    }

    fn answer(&self, path: &str) -> io::Result<String> {
        let mut parts = path.split('/').skip(1);
        let what = parts.next().unwrap_or("");
        let number = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        match what {
            "stars" => Ok(self.show(number)),
            "places" => self.place(number),
            "learn" => self.learn(number),
            _ => Ok("an observatory\n".to_string()),
        }
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut to = stream.try_clone()?;
        let mut from = BufReader::new(stream);
        loop {
            let mut request = String::new();
            if from.read_line(&mut request)? == 0 {
                return Ok(());
            }
            let mut header = String::new();
            while from.read_line(&mut header)? > 2 {
                header.clear();
            }
            let body = self.answer(request.split(' ').nth(1).unwrap_or("/"))?;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            to.write_all((head + &body).as_bytes())?;
        }
    }
}

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().expect("an address");
    let ephemerides = args.next().expect("the address of the other service");
    let observatory = Arc::new(Observatory { places: Mutex::new(HashMap::new()), ephemerides });
    for stream in TcpListener::bind(address)?.incoming() {
        let (observatory, stream) = (observatory.clone(), stream?);
        thread::spawn(move || observatory.serve(stream)); // a client that is gone ends it
    }
    Ok(())
}
