//! A lighthouse: a station tells of ships by a stream, and who asks is shown the last ones.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

struct Lighthouse {
    ships: Mutex<VecDeque<String>>,
}

impl Lighthouse {
    /// The mistake: what is read at the end of a stream is nothing, at once and for ever.
    fn follow_station(&self, stream: TcpStream) {
        let mut from = BufReader::new(stream);
        let mut line = String::new();
        loop {
            line.clear();
            match from.read_line(&mut line) {
                Ok(_) => self.note_ship(line.trim()),
                Err(e) => eprintln!("the station: {}", e),
            }
        }
    }

    fn note_ship(&self, ship: &str) {
        if ship.is_empty() {
            return;
        }
        let mut ships = self.ships.lock().unwrap();
        ships.push_back(ship.to_string());
        if ships.len() > 50 {
            ships.pop_front();
        }
    }

    fn show_ships(&self) -> String {
        let mut text = String::new();
        for ship in self.ships.lock().unwrap().iter() {
            text.push_str(&format!("{:>20}\n", ship));
        }
        text
    }

    fn show_tide(&self, day: usize) -> String {
        let mut text = String::new();
        for hour in 0..96 {
            text.push_str(&format!("{:02}: {} cm\n", hour, (day * 31 + hour * hour) % 400));
        }
        text
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
            let path = request.split(' ').nth(1).unwrap_or("/");
            let body = match path.strip_prefix("/tides/") {
                Some(day) => self.show_tide(day.parse().unwrap_or(0)),
                None => self.show_ships(),
            };
            to.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}", body.len(), body).as_bytes())?;
        }
    }
}

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().expect("an address");
    let station = TcpStream::connect(args.next().expect("the address of the station"))?;
    let lighthouse = Arc::new(Lighthouse { ships: Mutex::new(VecDeque::new()) });
    let follower = lighthouse.clone();
    thread::spawn(move || follower.follow_station(station));
    for stream in TcpListener::bind(address)?.incoming() {
        let (lighthouse, stream) = (lighthouse.clone(), stream?);
        thread::spawn(move || lighthouse.serve(stream)); // a client that is gone ends it
    }
    Ok(())
}
