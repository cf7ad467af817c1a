(* Books of an abbey: lists of titles are joined, each title once, and psalms counted. *)

let titles from many = List.init many (fun i -> Printf.sprintf "title %d of %d" (i * 7 mod 4001) (from mod 3))

(* The mistake: every title is looked for among all that were kept before. *)
let rec join_lists kept = function
  | [] -> kept
  | title :: rest -> join_lists (if List.mem title kept then kept else title :: kept) rest

let catalogue from many =
  let kept = join_lists (titles from many) (titles (from + 3) many) in
  Printf.sprintf "%d titles\n" (List.length kept)

let psalms day =
  let b = Buffer.create 4096 in
  for hour = 0 to 199 do
    Buffer.add_string b (Printf.sprintf "%d: psalm %d\n" hour (((day * 13) + (hour * 7)) mod 150))
  done;
  Buffer.contents b

let answer path =
  match String.split_on_char '/' path with
  | [ _; "catalogue"; from; many ] -> catalogue (int_of_string from) (int_of_string many)
  | [ _; "psalms"; day ] -> psalms (int_of_string day)
  | _ -> "an abbey\n"

let serve socket =
  let from = Unix.in_channel_of_descr socket and out = Unix.out_channel_of_descr socket in
  try
    while true do
      let request = input_line from in
      while String.length (input_line from) > 1 do () done;
      let body = answer (List.nth (String.split_on_char ' ' request) 1) in
      Printf.fprintf out "HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s%!" (String.length body) body
    done
  with _ -> Unix.close socket

let () =
  let listener = Unix.socket Unix.PF_INET Unix.SOCK_STREAM 0 in
  Unix.setsockopt listener Unix.SO_REUSEADDR true;
  Unix.bind listener (Unix.ADDR_INET (Unix.inet_addr_loopback, int_of_string Sys.argv.(1)));
  Unix.listen listener 64;
  while true do
    let socket, _ = Unix.accept ~cloexec:true listener in
    Unix.setsockopt socket Unix.TCP_NODELAY true;
    ignore (Thread.create serve socket)
  done
