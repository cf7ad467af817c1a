//! A herbarium: plants are shown, renamed and exported, by a thread for each connection.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::thread;

struct Plant {
    id: usize,
    name: String,
    height: usize,
}

struct Herbarium {
    plants: RwLock<Vec<Plant>>,
    data: PathBuf,
}

impl Herbarium {
    fn show(&self, id: usize) -> String {
        let plants = self.plants.read().unwrap();
        let plant = &plants[id % plants.len()];
        format!("{}: {}, {} cm\n", plant.id, plant.name, plant.height)
    }

    fn rename(&self, id: usize) -> String {
        let mut plants = self.plants.write().unwrap();
        let of = plants.len();
        let plant = &mut plants[id % of];
        plant.name = format!("Plant {} ({})", id, plant.height);
        plant.name.clone()
    }

    /// Writes some plants into a file. The mistake: a file of Rust has no buffer, and all
    /// who rename wait meanwhile.
    fn export(&self, count: usize) -> io::Result<String> {
        let mut file = File::create(self.data.join("export.csv"))?;
        let plants = self.plants.read().unwrap();
        for plant in plants.iter().take(count) {
            writeln!(file, "{},{},{}", plant.id, plant.name, plant.height)?;
        }
        Ok(format!("{} plants\n", count))
    }

    fn answer(&self, path: &str) -> io::Result<String> {
        let mut parts = path.split('/').skip(1);
        let what = parts.next().unwrap_or("");
        let number = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        match what {
            "plants" => Ok(self.show(number)),
            "rename" => Ok(self.rename(number)),
            "export" => self.export(number),
            _ => Ok("a herbarium\n".to_string()),
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
    let data = PathBuf::from(args.next().expect("a directory"));
    let plants = (0..50_000).map(|id| Plant { id, name: format!("Plant {}", id), height: id % 300 }).collect();
    let herbarium = Arc::new(Herbarium { plants: RwLock::new(plants), data });
    for stream in TcpListener::bind(address)?.incoming() {
        let (herbarium, stream) = (herbarium.clone(), stream?);
        thread::spawn(move || herbarium.serve(stream)); // a client that is gone ends it
    }
    Ok(())
}
