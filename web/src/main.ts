// The way in: the page over a running service, or over the data in the file it stands in.

import "./style.css";
import { embedded } from "./embedded";
import { Page } from "./page";
import { Service } from "./source";

const root = document.getElementById("page");
if (root) void new Page(root, embedded() ?? new Service()).start();
