//! Panics.

use std::hint::black_box;

struct Oven {
    dish: Option<&'static str>,
}

impl Oven {
    fn dish(&self) -> usize {
        self.dish.unwrap().len()
    }
}

pub fn burn() {
    let oven = black_box(Oven { dish: None });
    println!("{}", oven.dish());
}

pub fn serve_table_nine() {
    let tables = black_box(vec![1, 2, 3]);
    println!("{}", tables[black_box(9)]);
}

pub fn drop_the_tray() {
    let plates = black_box(7);
    panic!("{plates} plates are broken");
}

fn heaviest<T: Ord + Copy + std::fmt::Debug>(of: &[T]) -> T {
    *of.iter().max().expect("something to weigh")
}

pub fn weigh_nothing() {
    println!("{:?}", heaviest(black_box::<&[u8]>(&[])));
}

pub fn burn_elsewhere() {
    let thread = std::thread::spawn(|| {
        let oven = black_box(Oven { dish: None });
        println!("{}", oven.dish());
    });
    let _ = thread.join();
}
