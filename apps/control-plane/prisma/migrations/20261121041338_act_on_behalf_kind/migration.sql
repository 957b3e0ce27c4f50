-- AlterTable
ALTER TABLE "control_acts" ADD COLUMN     "on_behalf_of_kind" TEXT;
